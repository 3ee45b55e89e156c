"""Everything one can add, one folder a kind, one file a component; components never import each other."""
