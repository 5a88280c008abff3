"""Applications frozen or zipped with the package, away from any Python environment.

``python -m tests.freezing`` makes and runs them, which takes some minutes. (The databases in
``tests/frozen`` are something else: files of released revisions.)
"""
