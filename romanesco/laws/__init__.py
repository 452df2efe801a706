"""The laws, as functions of the object under test: run them on your own cells and worlds with `romanesco check`."""
