"""Everything that speaks HTTP: function routes, the admin API, keys, CORS, the landing page."""
