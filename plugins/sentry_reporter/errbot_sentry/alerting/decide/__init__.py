"""What an alert means for each room: pure decisions with named reasons, and the pipeline around them."""
