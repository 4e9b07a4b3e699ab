//! The contract as the examples in other languages declare it, compared with `plugin.wit`.

use std::process::Command;
use step_observer_tests::languages::{example, new_plugin, step_observer, tools};
use step_observer_tests::{available, path};

fn contract() -> (wit_parser::Resolve, wit_parser::PackageId) {
    let mut resolve = wit_parser::Resolve::default();
    let text = include_str!("../../guest-sdk/wit/v0.1/plugin.wit");
    let package = resolve.push_str("plugin.wit", text).unwrap();
    (resolve, package)
}

/// The host checks the imports that a plugin uses. The example uses few.
#[test]
fn the_example_in_go_can_import_every_function_of_the_contract() {
    let bindings = std::fs::read_to_string(example("go/contract.go")).unwrap();
    let (resolve, package) = contract();
    let mut checked = 0;
    for name in ["events", "logging"] {
        let interface = &resolve.interfaces[resolve.packages[package].interfaces[name]];
        for function in interface.functions.keys() {
            let import =
                format!("//go:wasmimport step-observer:plugin/{name}@0.1.0 {function}\nfunc ");
            assert!(bindings.contains(&import), "contract.go has no `{import}`");
            checked += 1;
        }
    }
    assert!(checked > 15, "only {checked} functions are checked");
}

/// What the bindings read and write has the layout of the contract.
#[test]
fn the_bindings_of_go_call_every_function_of_the_contract() {
    let venv = available!(tools("go", "go", Some(".venv"))).unwrap();
    let place = tempfile::tempdir().unwrap();
    let plugin = new_plugin(place.path(), "go");
    std::os::unix::fs::symlink(venv, plugin.join(".venv")).unwrap();
    std::fs::copy(path("languages/probe.go"), plugin.join("plugin.go")).unwrap();
    let built = Command::new("./build.sh")
        .current_dir(&plugin)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{errors}");
    let event = example("cases/failed-with-team/in.json");
    let event = event.display().to_string();
    let shown = step_observer(
        &plugin,
        &["plugin", "test", "team-filter.wasm", "--event", &event],
    );
    let errors = String::from_utf8_lossy(&shown.stderr);
    assert!(shown.status.success(), "{errors}");
    assert!(errors.contains("the probe runs"), "{errors}");
    let changed: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let expected = std::fs::read_to_string(path("languages/probe.log")).unwrap();
    assert_eq!(changed["data"]["log"], expected);
    assert_eq!(changed["data"]["made"], serde_json::json!({"by": "probe"}));
    assert_eq!(changed["severity"], "error");
    let removed = [&changed["subject"], &changed["data"]["labels"]];
    assert!(removed.iter().all(|part| part.is_null()), "{changed:#}");
}

#[test]
fn the_types_of_typescript_are_those_of_the_contract() {
    let declared = std::fs::read_to_string(example("typescript/contract.d.ts")).unwrap();
    let (resolve, package) = contract();
    let mut checked = 0;
    for name in ["events", "transform"] {
        let interface = &resolve.interfaces[resolve.packages[package].interfaces[name]];
        let fields = interface
            .types
            .values()
            .flat_map(|ty| match &resolve.types[*ty].kind {
                wit_parser::TypeDefKind::Record(record) => record
                    .fields
                    .iter()
                    .map(|field| {
                        format!(
                            "  {}: {};\n",
                            camel(&field.name),
                            typescript(&resolve, field.ty)
                        )
                    })
                    .collect(),
                wit_parser::TypeDefKind::Enum(cases) => {
                    let cases: Vec<String> = cases
                        .cases
                        .iter()
                        .map(|case| format!("\"{}\"", case.name))
                        .collect();
                    vec![format!(" = {};\n", cases.join(" | "))]
                }
                wit_parser::TypeDefKind::Variant(variant) => variant
                    .cases
                    .iter()
                    .map(|case| match case.ty {
                        Some(ty) => format!(
                            "{{ tag: \"{}\"; val: {} }}",
                            case.name,
                            typescript(&resolve, ty)
                        ),
                        None => format!("{{ tag: \"{}\" }}", case.name),
                    })
                    .collect(),
                _ => Vec::new(),
            });
        let functions = interface.functions.values().map(|function| {
            let is_method = matches!(function.kind, wit_parser::FunctionKind::Method(_));
            let parameters: Vec<String> = function
                .params
                .iter()
                .skip(usize::from(is_method))
                .map(|parameter| {
                    format!(
                        "{}: {}",
                        camel(&parameter.name),
                        typescript(&resolve, parameter.ty)
                    )
                })
                .collect();
            let result = function
                .result
                .map_or_else(|| "void".to_owned(), |ty| typescript(&resolve, ty));
            format!(
                "  {}({}): {result};\n",
                camel(function.item_name()),
                parameters.join(", ")
            )
        });
        for line in fields.chain(functions) {
            assert!(declared.contains(&line), "contract.d.ts has no `{line}`");
            checked += 1;
        }
    }
    assert!(checked > 50, "only {checked} lines are checked");
}

/// `pipeline-run` becomes `pipelineRun`.
fn camel(name: &str) -> String {
    let mut words = name.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| {
        text + &word[..1].to_uppercase() + &word[1..]
    })
}

/// The type of TypeScript that componentize-qjs makes of a type of WIT.
fn typescript(resolve: &wit_parser::Resolve, ty: wit_parser::Type) -> String {
    use wit_parser::{Handle, Type, TypeDefKind};
    let Type::Id(id) = ty else {
        return if ty == Type::String {
            "string"
        } else {
            "number"
        }
        .to_owned();
    };
    let of = |ty: Type| typescript(resolve, ty);
    match &resolve.types[id].kind {
        TypeDefKind::Option(inner) => format!("{} | null", of(*inner)),
        TypeDefKind::List(Type::U8) => "Uint8Array".to_owned(),
        TypeDefKind::List(inner) => format!("{}[]", of(*inner)),
        TypeDefKind::Tuple(tuple) => {
            let types: Vec<String> = tuple.types.iter().map(|ty| of(*ty)).collect();
            format!("[{}]", types.join(", "))
        }
        TypeDefKind::Result(result) => result.ok.map_or_else(|| "void".to_owned(), of),
        TypeDefKind::Handle(Handle::Borrow(inner) | Handle::Own(inner)) => of(Type::Id(*inner)),
        _ => {
            let name = camel(resolve.types[id].name.as_deref().unwrap());
            name[..1].to_uppercase() + &name[1..]
        }
    }
}
