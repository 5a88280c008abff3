"""The commands of ``beryl-groups``; ``beryl_groups.cli`` makes one program of them."""
