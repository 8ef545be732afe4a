"""The report: one HTML page that needs no server. It is not called `report`, as the function is that makes
one: a package of that name would take the function's place in `durproj`."""
