package engine

// digestPrefix stands before every digest that is shown or stored as text.
const digestPrefix = "sha256:"
