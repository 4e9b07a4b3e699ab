(module
  (import "step-observer:plugin/events@0.1.0" "[method]event.header" (func $header (param i32 i32)))
  (import "step-observer:plugin/events@0.1.0" "[method]event.step" (func $step (param i32 i32)))
  (import "step-observer:plugin/events@0.1.0" "[method]event.attribute"
    (func $attribute (param i32 i32 i32 i32)))
  (import "step-observer:plugin/events@0.1.0" "[method]event.set-attribute"
    (func $set-attribute (param i32 i32 i32 i32 i32 i32 i32)))
  (import "step-observer:plugin/events@0.1.0" "[method]event.extensions"
    (func $extensions (param i32 i32)))
  (import "step-observer:plugin/events@0.1.0" "[method]event.data-json"
    (func $data-json (param i32 i32)))
  (import "step-observer:plugin/events@0.1.0" "[method]event.get"
    (func $get (param i32 i32 i32 i32)))
  (import "step-observer:plugin/events@0.1.0" "[method]event.set"
    (func $set (param i32 i32 i32 i32 i32 i32 i32)))
  (import "step-observer:plugin/events@0.1.0" "[method]event.label"
    (func $label (param i32 i32 i32 i32)))
  (import "step-observer:plugin/events@0.1.0" "[method]event.annotation"
    (func $annotation (param i32 i32 i32 i32)))
  (import "step-observer:plugin/events@0.1.0" "[method]event.log-size"
    (func $log-size (param i32) (result i64)))
  (import "step-observer:plugin/events@0.1.0" "[method]event.log" (func $log (param i32 i32)))
  (import "step-observer:plugin/events@0.1.0" "[method]event.read-log"
    (func $read-log (param i32 i64 i32 i32)))
  (import "step-observer:plugin/events@0.1.0" "[method]event.set-log"
    (func $set-log (param i32 i32 i32 i32)))
  (import "step-observer:plugin/events@0.1.0" "[method]event.edit-log"
    (func $edit-log (param i32 i32 i32 i32)))
  (import "step-observer:plugin/events@0.1.0" "[method]event.redact"
    (func $redact (param i32 i32 i32 i32 i32)))
  (import "step-observer:plugin/events@0.1.0" "[resource-drop]event" (func $release (param i32)))
  (import "step-observer:plugin/logging@0.1.0" "log" (func $say (param i32 i32 i32)))
  (memory (export "memory") 4)
  (global $top (mut i32) (i32.const 131328))
  (; data ;)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $place i32)
    (local.set $place (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
    (global.set $top (i32.add (local.get $place) (local.get 3)))
    (local.get $place))
  (func (export "step-observer:plugin/transform@0.1.0#configure") (param i32 i32) (result i32)
    (unreachable) ;; configure
  )
  (func (export "step-observer:plugin/transform@0.1.0#process") (param $event i32) (result i32)
    (unreachable) ;; process
  ))
