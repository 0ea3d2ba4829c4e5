// Package rows is the model of the policy database: what writers write, and every host reads.
// Everything but update.go and this page is generated from portcullis.ovsschema by libovsdb's
// modelgen.
package rows

//go:generate go run ../../generate_main.go rows ../portcullis.ovsschema Global=generation,generation_at,ack,beat Project=name,description Group=name,description,external_sources,is_network,shared,rules Rule=direction,protocol,ports,icmp_type,icmp_code,cidrs,peers,description Port=name,instance,host,migrating_to,interface,groups,mac,addresses,allowed,type,trusted,host_device,ethertypes,limits,log_denied Change=generation,id,at,by,from,summary,undo,confirm_by Token=id,kind,secret,role,project,description,at,by,expires,used
