"""Deloton on one machine: a real database, a broker, a simulated fleet and every service.

Nothing here is deployed. The tests use the same embedded servers (`embedded_postgres`,
`embedded_broker`), so what the demo shows is what the tests prove.
"""
