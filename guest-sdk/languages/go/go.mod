module only-failures

go 1.24
