"""Complete applications, to read and to begin from; the tests run them."""
