"""What the fork server of ``tests.processes`` imports last.

No collection of garbage in its children has to look at what they were all forked with.
"""

import gc

gc.collect()
gc.freeze()
