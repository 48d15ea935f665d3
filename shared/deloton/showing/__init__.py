"""CORE: how figures look to people: formats, colours, cells of a CSV."""
