"""Files that are damaged or made to do harm; `rule` says what each of them may come to."""
