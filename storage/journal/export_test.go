package journal

// LimitMemory bounds the memory that walks over the rows of a state take.
func LimitMemory(s *State, bytes int) { s.memory = bytes }
