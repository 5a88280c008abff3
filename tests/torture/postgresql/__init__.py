"""Servers, clients and connections that end at any moment, and what each call is worth then.

Processes of several threads write, each thread to groups of its own, so that it knows what they
have to hold. A call that returned has happened. One that raised `StorageFailed` has not. One that
raised `OutcomeUnknown` has happened whole or not at all, as has the one that was under way when its
process was killed. Nothing else is raised.
"""
