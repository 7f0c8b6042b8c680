;; Half of a cycle: imports what the other half exports. The build exchanges x and y for the second half.
(module
  (import "demo:cycle/y@0.1.0" "ask-y" (func $ask (result i32)))
  (memory (export "memory") 1)
  (func (export "demo:cycle/x@0.1.0#ask-x") (result i32)
    (i32.add (call $ask) (i32.const 1))))
