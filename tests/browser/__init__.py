"""The page and the server, as a browser has them."""
