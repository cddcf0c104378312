"""PDF certificates: four files each outside the LMS, which go first; only then does the LMS forget where they were."""
