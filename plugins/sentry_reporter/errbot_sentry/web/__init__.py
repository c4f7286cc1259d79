"""HTTP requests to the bot: the application, our own web listener, and the route on Errbot's web server."""
