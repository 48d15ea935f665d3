"""CORE: the rules of the domain, each with its source.

Heart rates, power, silence, what is plausible, figures of a ride, calendar, bands of age.
"""
