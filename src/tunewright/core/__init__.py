"""What every layer shares: types, recipe, components' contracts and catalog, run, report, gate, bundle, errors. No torch."""
