"""Data sets as sharded TFRecords: `kerasnets data prepare` writes them, the source `tfrecord` reads them."""
