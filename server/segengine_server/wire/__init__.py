"""What `make protos` generates from `proto/segengine.proto`; no line of it is written by hand."""
