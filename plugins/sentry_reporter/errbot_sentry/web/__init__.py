"""HTTP in: the application, our own listener, and the route on Errbot's web server."""
