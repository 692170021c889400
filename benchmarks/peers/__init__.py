"""Contenders: klimit and what people use today for the same job, one function each.

A function imports what it needs when it is called, so that every contender runs alone in its
process and an absent one is reported as absent.
"""
