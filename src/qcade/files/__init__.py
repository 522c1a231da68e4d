"""Files that a kill, a power cut or a full disk cannot damage."""
