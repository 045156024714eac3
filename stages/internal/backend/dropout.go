package backend

// Dropout's bits are a pure function, the same on every backend, so that a run can be resumed, repacked or moved:
//
//	row  = DropoutRow(key, segment ID, row within the segment)
//	bit  = DropoutHash(row, channel) < p*2³² : the channel is lost

// DropoutRow mixes what names a row into 64 bits (two rounds of splitmix64's finaliser).
func DropoutRow(key, id uint64, row int) uint64 {
	return mix64(mix64(key^id*0x9e3779b97f4a7c15) ^ uint64(row))
}

func mix64(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// DropoutHash is murmur3's finaliser over the channel, keyed by both halves of row: 32-bit arithmetic only, for vector units.
func DropoutHash(row uint64, channel uint32) uint32 {
	h := channel*0x9e3779b9 + uint32(row)
	h = (h ^ h>>16) * 0x85ebca6b
	h ^= uint32(row >> 32)
	h = (h ^ h>>13) * 0xc2b2ae35
	return h ^ h>>16
}

// DropoutThreshold is p as a limit for DropoutHash.
func DropoutThreshold(p float64) uint32 {
	return uint32(min(p*(1<<32), 1<<32-1))
}
