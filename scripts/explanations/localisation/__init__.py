"""How well saliency maps say where an object is: measures against masks, which nothing that makes maps ever sees."""
