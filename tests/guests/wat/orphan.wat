;; Serves HTTP, but imports an interface that nobody offers.
(module
  (import "nobody:offers/this@1.0.0" "ask" (func $ask (result i32)))
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
  (func (export "wasi:http/incoming-handler@0.2.12#handle") (param i32 i32)
    (drop (call $ask))
    unreachable))
