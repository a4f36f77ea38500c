# Tests that compare what two processes get of the same machine: what others do meanwhile would decide it.
set_tests_properties(system.Bus.AFloodDoesNotStarveAnother PROPERTIES RUN_SERIAL ON)
