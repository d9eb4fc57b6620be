"""HTTP: routes, bodies, identities, errors and the API description."""
