"""One suite, three servers: the same scenarios, with what each cannot do as expected refusals."""
