"""Videos of training episodes and of a trained agent: pictures, a strip of figures, encoding."""
