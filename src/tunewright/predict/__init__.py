"""From a bundle to answers. Torch comes in only through the runtime that is chosen."""
