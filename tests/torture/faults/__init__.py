"""Storage that fails: each operation of a whole life in turn, and no call says what is not so.

``life`` makes the calls in a process whose storage fails as told; ``lives`` says what is to fail,
and looks at the file from outside in between; ``full_disk`` fills a real disk.
"""
