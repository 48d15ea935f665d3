"""Decides which heart rates riders are to be told of."""
