;; demo:greet/greeter: "hello NAME from provider-LETTER". The build replaces the next but one line: by another letter,
;; or by an import that tells it.
(module
  (func $letter (result i32) (i32.const 0x61))
  (memory (export "memory") 1)
  (data (i32.const 16) "hello ")
  (data (i32.const 32) " from provider-")
  ;; Memory in use ends here: 1024 and up is given out by cabi_realloc, and taken back after each call.
  (global $top (mut i32) (i32.const 1024))

  (func $allocate (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at
      (i32.and
        (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
    (global.set $top (i32.add (local.get $at) (local.get $size)))
    (block $fits
      (loop $more
        (br_if $fits (i32.le_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
        (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
      (unreachable))
    (local.get $at))

  (func (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (call $allocate (local.get $align) (local.get $size)))
    (memory.copy (local.get $at) (local.get $old) (local.get $old_size))
    (local.get $at))

  (func (export "demo:greet/greeter@0.1.0#greet") (param $name i32) (param $length i32) (result i32)
    (local $text i32)
    (local.set $text (call $allocate (i32.const 1) (i32.add (local.get $length) (i32.const 22))))
    (memory.copy (local.get $text) (i32.const 16) (i32.const 6))
    (memory.copy (i32.add (local.get $text) (i32.const 6)) (local.get $name) (local.get $length))
    (memory.copy
      (i32.add (i32.add (local.get $text) (i32.const 6)) (local.get $length))
      (i32.const 32) (i32.const 15))
    (i32.store8 (i32.add (local.get $text) (i32.add (local.get $length) (i32.const 21))) (call $letter))
    ;; return area: 0 (address), 4 (length)
    (i32.store (i32.const 0) (local.get $text))
    (i32.store (i32.const 4) (i32.add (local.get $length) (i32.const 22)))
    (i32.const 0))

  (func (export "cabi_post_demo:greet/greeter@0.1.0#greet") (param $result i32)
    (global.set $top (i32.const 1024))))
