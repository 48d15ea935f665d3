"""Stacks of CloudFormation: one for each service, and three that they stand on."""
