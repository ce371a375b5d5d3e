// Writes the JSON schemas of the kinds that deploy/ has, one file each, strict: a field that a kind does not
// have is an error. scripts/gen-schemas.sh calls it; the files are committed, for they are small and their
// sources are not.
//
//	schemas FOLDER SWAGGER CRD...
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

type object = map[string]any

// The built-in kinds, by their names in Kubernetes' OpenAPI.
var kinds = []string{
	"io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy",
	"io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding",
	"io.k8s.api.apps.v1.Deployment",
	"io.k8s.api.core.v1.ConfigMap",
	"io.k8s.api.core.v1.Namespace",
	"io.k8s.api.core.v1.Service",
	"io.k8s.api.core.v1.ServiceAccount",
	"io.k8s.api.networking.v1.NetworkPolicy",
	"io.k8s.api.policy.v1.PodDisruptionBudget",
	"io.k8s.api.rbac.v1.ClusterRole",
	"io.k8s.api.rbac.v1.ClusterRoleBinding",
	"io.k8s.api.rbac.v1.Role",
	"io.k8s.api.rbac.v1.RoleBinding",
}

func main() {
	log.SetFlags(0)
	folder, swagger, crds := os.Args[1], os.Args[2], os.Args[3:]
	definitions := read(swagger)["definitions"].(object)
	for _, name := range kinds {
		needed := object{}
		collect(name, definitions, needed)
		gvk := definitions[name].(object)["x-kubernetes-group-version-kind"].([]any)[0].(object)
		schema := object{"$ref": "#/definitions/" + name, "definitions": strict(needed)}
		write(folder, gvk["group"].(string), gvk["version"].(string), gvk["kind"].(string), schema)
	}
	for _, file := range crds {
		spec := read(file)["spec"].(object)
		version := spec["versions"].([]any)[0].(object)
		schema := strict(version["schema"].(object)["openAPIV3Schema"])
		kind := spec["names"].(object)["kind"].(string)
		write(folder, spec["group"].(string), version["name"].(string), kind, schema)
	}
}

func read(file string) object {
	text, err := os.ReadFile(file)
	if err != nil {
		log.Fatal(err)
	}
	var content object
	if err := yaml.Unmarshal(text, &content); err != nil {
		log.Fatalf("%s: %v", file, err)
	}
	return content
}

// collect takes a definition, and those that it refers to.
func collect(name string, all, needed object) {
	if needed[name] != nil {
		return
	}
	needed[name] = all[name]
	references(all[name], func(to string) { collect(to, all, needed) })
}

func references(value any, found func(string)) {
	switch value := value.(type) {
	case object:
		if to, ok := value["$ref"].(string); ok {
			found(strings.TrimPrefix(to, "#/definitions/"))
		}
		for _, part := range value {
			references(part, found)
		}
	case []any:
		for _, part := range value {
			references(part, found)
		}
	}
}

// strict drops what is only for people, and closes objects that name their fields.
func strict(value any) any {
	switch value := value.(type) {
	case object:
		if value["format"] == "int-or-string" || value["x-kubernetes-int-or-string"] == true {
			return object{"type": []any{"string", "integer"}}
		}
		closed := value["properties"] != nil && value["additionalProperties"] == nil &&
			value["x-kubernetes-preserve-unknown-fields"] != true
		result := object{}
		for key, part := range value {
			_, text := part.(string)
			if key == "description" && text || strings.HasPrefix(key, "x-kubernetes-") {
				continue
			}
			result[key] = strict(part)
		}
		// A CRD does not say what metadata has.
		if closed && len(value["properties"].(object)) > 0 {
			result["additionalProperties"] = false
		}
		return result
	case []any:
		result := make([]any, len(value))
		for i, part := range value {
			result[i] = strict(part)
		}
		return result
	default:
		return value
	}
}

// write names the file as kubeconform asks for it.
func write(folder, group, version, kind string, schema any) {
	text, err := json.Marshal(schema)
	if err != nil {
		log.Fatal(err)
	}
	name := strings.ToLower(fmt.Sprintf("%s-%s-%s.json", kind, strings.Split(group, ".")[0], version))
	if group == "" {
		name = strings.ToLower(fmt.Sprintf("%s-%s.json", kind, version))
	}
	if err := os.WriteFile(filepath.Join(folder, name), append(text, '\n'), 0o644); err != nil {
		log.Fatal(err)
	}
}
