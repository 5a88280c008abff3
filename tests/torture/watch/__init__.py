"""Writers of all kinds beside watches of all kinds, with moments of rest.

Four processes of four threads write, and so does somebody who knows only SQL; one of the processes
is killed now and then. Meanwhile watches are told by a callback, to an iterator and on an event
loop, one of them slow, one of a prefix, one of some names, one in a process that is stopped for a
while; they end at any moment, and begin anew with what they knew, or with nothing. No step that is
told may be impossible, nothing may be told that was undone, and at the end of what one look told,
what is written in one transaction has to be there whole. In each moment of rest every watch has to
come to know what the file holds.
"""
