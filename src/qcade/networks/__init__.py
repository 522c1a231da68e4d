"""Parts of networks: torsos map pixels to features, streams and heads to Q-values."""
