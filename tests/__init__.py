"""The guarantees of beryl_groups, each shown by a test that states it."""
