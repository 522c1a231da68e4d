"""Parts of networks: torsos read pixels, streams and heads value actions."""
