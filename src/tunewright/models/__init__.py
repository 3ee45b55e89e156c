"""Pretrained networks: find one, open it with its tokenizer, and reach its parts the same way whatever its family."""
