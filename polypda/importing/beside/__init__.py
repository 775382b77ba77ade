"""Labels that lie beside pictures in folders, as files of the pictures' own names or as tables of all of them."""
