module e2e/tools/echo-server

go 1.26.0
