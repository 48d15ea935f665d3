"""Riders, rides and readings over HTTP, for partners and our own apps."""
