"""What is PostgreSQL's own, on a real server that the tests start and stop."""
