"""Conforming: values of any table or row brought to the schema's own types, or refused with every fault listed."""
