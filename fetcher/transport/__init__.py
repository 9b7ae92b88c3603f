"""HTTP: the only package that imports the client library.

That takes a tenth of a second, so nothing here is loaded by importing the package: ``client`` is
loaded where requests are made, ``options`` by whoever says how.
"""
